"""The demo: the real daemon runs through a month against local stand-ins, over real sockets."""
