"""What a Gong account really answers, in at most 20 calls, against what this project assumes."""
