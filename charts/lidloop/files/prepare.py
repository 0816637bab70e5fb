"""Init container of the registry: migrates MLflow's tables and writes the settings of its authentication.

It runs in the registry's image. Environment variables: MLFLOW_BACKEND_STORE_URI and LIDLOOP_AUTH_DATABASE
(URIs), LIDLOOP_DEFAULT_PERMISSION, and MLFLOW_AUTH_CONFIG_PATH, the file to write. That file contains a
password, so it must be on a memory-backed volume. Running it again changes nothing.
"""

import configparser
import os
import sys
from pathlib import Path

from mlflow.db import upgrade
from sqlalchemy.exc import SQLAlchemyError


def migrate(uri: str) -> None:
    """Migrate the tables of runs and models to this MLflow's version, or create them.

    The same as ``mlflow db upgrade``, but in this process, because a command line would expose the password
    in the URI. The server itself migrates the tables of users when it starts.
    """
    upgrade.main([uri], standalone_mode=False)


def write_settings(path: Path, uri: str, permission: str) -> None:
    """Write the settings of MLflow's basic authentication, readable by their owner only."""
    settings = configparser.ConfigParser()
    settings["mlflow"] = {
        "default_permission": permission,
        "database_uri": uri.replace("%", "%%"),
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        # Checking a password takes up to a second of a core, and a client sends it with each of dozens of
        # requests. For this long, another worker may still accept a password that was changed.
        "auth_cache_ttl_seconds": "10",
    }
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        settings.write(file)


def main() -> None:
    """Migrate, then write the settings; exit with a message if the database fails."""
    try:
        migrate(os.environ["MLFLOW_BACKEND_STORE_URI"])
    except SQLAlchemyError as error:
        # The driver's own message only: SQLAlchemy's may contain statements with their values.
        sys.exit(f"the registry's database cannot be migrated: {getattr(error, 'orig', None) or type(error)}")
    write_settings(
        Path(os.environ["MLFLOW_AUTH_CONFIG_PATH"]),
        os.environ["LIDLOOP_AUTH_DATABASE"],
        os.environ["LIDLOOP_DEFAULT_PERMISSION"],
    )


if __name__ == "__main__":
    main()
