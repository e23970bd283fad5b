"""What real libraries do with zeros and twins: each measured by a module here, kept as JSON."""
