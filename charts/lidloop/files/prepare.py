"""What comes before the registry's server: migrate its databases, write the settings of its authentication.

Runs in the registry's image as an init container. From the environment: MLFLOW_BACKEND_STORE_URI,
LIDLOOP_AUTH_DATABASE (URIs), LIDLOOP_DEFAULT_PERMISSION, and MLFLOW_AUTH_CONFIG_PATH, the file to write: it
holds a password, so it belongs on a memory-backed volume. Running it again changes nothing.
"""

import configparser
import os
import sys
from pathlib import Path

from mlflow.db import upgrade as upgrade_store
from mlflow.server.auth.db.cli import upgrade as upgrade_users
from sqlalchemy.exc import SQLAlchemyError


def migrate(store: str, users: str) -> None:
    """Bring the tables of runs and models, then those of users, to this MLflow's version; make missing ones.

    In this order, for both may be in one database, and MLflow makes its tables only where there are none. As
    ``mlflow db upgrade`` and ``python -m mlflow.server.auth db upgrade`` do, but in this process: a URI on a
    command line would show its password.
    """
    upgrade_store.main([store], standalone_mode=False)
    upgrade_users.main(["--url", users], standalone_mode=False)


def write_settings(path: Path, uri: str, permission: str) -> None:
    """Write the file that MLflow's basic authentication reads, for its owner only."""
    settings = configparser.ConfigParser()
    settings["mlflow"] = {
        "default_permission": permission,
        "database_uri": uri.replace("%", "%%"),
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    }
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        settings.write(file)


def main() -> None:
    """Do all of it."""
    users = os.environ["LIDLOOP_AUTH_DATABASE"]
    try:
        migrate(os.environ["MLFLOW_BACKEND_STORE_URI"], users)
    except SQLAlchemyError as error:
        # The driver's own message: SQLAlchemy's may repeat what was sent.
        sys.exit(f"the registry's database cannot be migrated: {getattr(error, 'orig', None) or type(error)}")
    write_settings(
        Path(os.environ["MLFLOW_AUTH_CONFIG_PATH"]), users, os.environ["LIDLOOP_DEFAULT_PERMISSION"]
    )


if __name__ == "__main__":
    main()
