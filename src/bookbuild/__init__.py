"""The build of the book, in folders; ``README.md`` says what is where."""
