"""Jobs: their rows, who has them, and what comes of them."""
