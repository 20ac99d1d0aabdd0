from tests.cli.conftest import vlprompt

__all__ = ["vlprompt"]
