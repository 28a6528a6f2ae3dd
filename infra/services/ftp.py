"""An FTP server of one folder: ftp.py FOLDER PORT [ADDRESS PASSIVE_FIRST PASSIVE_LAST].

Without an address it listens on loopback. The passive ports are for a container that publishes a few.
"""

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

EVERYTHING = "elradfmwMT"

folder, port, *container = sys.argv[1:]
address = "127.0.0.1"
accounts = DummyAuthorizer()
accounts.add_user("weir", "weir", folder, perm=EVERYTHING)
accounts.add_anonymous(folder, perm=EVERYTHING)
FTPHandler.authorizer = accounts
if container:
    address, first, last = container
    FTPHandler.passive_ports = range(int(first), int(last) + 1)
    FTPHandler.masquerade_address = "127.0.0.1"
FTPServer((address, int(port)), FTPHandler).serve_forever()
