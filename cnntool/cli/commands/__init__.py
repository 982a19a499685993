"""One module for each verb: it parses, calls the library and prints."""
