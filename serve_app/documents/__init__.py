"""What files are made of: headers, pages, pictures, a PDF's own text. Parsed in child processes."""
