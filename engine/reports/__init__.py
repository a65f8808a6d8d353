"""What is reported: openings, scenarios, operation and numbers, as tables that anybody can make again to the byte."""
