"""A small local Gong for development and demos: python -m include.gong.sandbox --help"""
