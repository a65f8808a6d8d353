"""The interface that platforms already have: Alibaba's operations for 700 numbers, on a listener of their own."""
