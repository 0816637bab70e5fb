"""What comes before the registry's server: migrate its tables, write the settings of its authentication.

Runs in the registry's image as an init container. From the environment: MLFLOW_BACKEND_STORE_URI and
LIDLOOP_AUTH_DATABASE (URIs), LIDLOOP_DEFAULT_PERMISSION, and MLFLOW_AUTH_CONFIG_PATH, the file to write: it
holds a password, so it belongs on a memory-backed volume. Running it again changes nothing.
"""

import configparser
import os
import sys
from pathlib import Path

from mlflow.db import upgrade
from sqlalchemy.exc import SQLAlchemyError


def migrate(uri: str) -> None:
    """Bring the tables of runs and models to this MLflow's version, or make them.

    It is ``mlflow db upgrade``, in this process: on a command line the URI would show its password. The
    server itself migrates the tables of users when it starts.
    """
    upgrade.main([uri], standalone_mode=False)


def write_settings(path: Path, uri: str, permission: str) -> None:
    """Write the file that MLflow's basic authentication reads, for its owner only."""
    settings = configparser.ConfigParser()
    settings["mlflow"] = {
        "default_permission": permission,
        "database_uri": uri.replace("%", "%%"),
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        # Checking a password takes a core for a good part of a second, and a client sends it with each of its
        # dozens of requests. So long may one that was changed still be taken by another worker.
        "auth_cache_ttl_seconds": "10",
    }
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        settings.write(file)


def main() -> None:
    """Do both."""
    try:
        migrate(os.environ["MLFLOW_BACKEND_STORE_URI"])
    except SQLAlchemyError as error:
        # The driver's own message: SQLAlchemy's may repeat what was sent.
        sys.exit(f"the registry's database cannot be migrated: {getattr(error, 'orig', None) or type(error)}")
    write_settings(
        Path(os.environ["MLFLOW_AUTH_CONFIG_PATH"]),
        os.environ["LIDLOOP_AUTH_DATABASE"],
        os.environ["LIDLOOP_DEFAULT_PERMISSION"],
    )


if __name__ == "__main__":
    main()
