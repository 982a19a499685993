"""The page: pictures and what a network makes of them, in one HTML file."""
