"""What a running node shows of its own traffic: messages with addresses and times, real numbers as pseudonyms."""
