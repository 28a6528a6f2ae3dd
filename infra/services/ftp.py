"""An FTP server of one folder on loopback: ftp.py FOLDER PORT."""

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

EVERYTHING = "elradfmwMT"

folder, port = sys.argv[1], int(sys.argv[2])
accounts = DummyAuthorizer()
accounts.add_user("weir", "weir", folder, perm=EVERYTHING)
accounts.add_anonymous(folder, perm=EVERYTHING)
FTPHandler.authorizer = accounts
FTPServer(("127.0.0.1", port), FTPHandler).serve_forever()
