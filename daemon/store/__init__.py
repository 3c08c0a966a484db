"""The store: one SQLite file, one writer, one module a concern. No SQL stands outside this package.

`Store.write()` is one state change with the events it causes; nothing waits on a network inside it.
"""

from daemon.store.connection import Store, StoreError, Transaction

__all__ = ["Store", "StoreError", "Transaction"]
