"""The store: SQLite in a file, or PostgreSQL; one module per concern. There is no SQL outside this package.

`Store.write()` is one state change with the events it causes; nothing inside it waits for the network.
"""

from daemon.store.connection import Connection, Store, StoreError, Transaction

__all__ = ["Connection", "Store", "StoreError", "Transaction"]
