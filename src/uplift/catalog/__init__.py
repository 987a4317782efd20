"""Features and chips: data, its schema and its loader."""
