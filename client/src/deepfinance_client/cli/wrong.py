"""What the user has to change."""


class WrongInput(Exception):
    """A file, an option or a setting cannot be used as it is; the message says what would do."""
