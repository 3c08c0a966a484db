"""Channels: how one message leaves: webhook, e-mail, chat."""
