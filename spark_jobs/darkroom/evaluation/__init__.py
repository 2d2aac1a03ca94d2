"""What a candidate is worth on held-out images: metrics, the gate, the report."""
