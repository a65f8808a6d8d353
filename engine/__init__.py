"""veil700: a SIP privacy proxy for 15-digit 700 numbers."""
