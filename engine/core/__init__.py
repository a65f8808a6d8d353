"""The call and message logic, without I/O and without a clock."""
