"""Asks Gong one cheap question with the given connection, before a stack relies on it."""

import sys

from gong_provider.hooks.gong import GongHook
from include.local.connections import GONG

if __name__ == "__main__":
    reached, sentence = GongHook(gong_conn_id=GONG).test_connection()
    print(" ".join(sentence.split()), flush=True)
    sys.exit(not reached)
