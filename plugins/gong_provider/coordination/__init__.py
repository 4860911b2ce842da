"""What callers of one Gong account share: its call quota and its OAuth tokens."""
