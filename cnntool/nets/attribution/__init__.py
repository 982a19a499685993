"""Attribution: what in a picture speaks for a class, by one method a file."""
