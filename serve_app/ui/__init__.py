"""The pages for people: files of the package, served as they are. There is no build step."""
