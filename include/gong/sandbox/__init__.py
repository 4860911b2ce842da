"""A small local Gong to develop and demo against. Run it: python -m include.gong.sandbox --help"""
