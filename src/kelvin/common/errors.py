"""The one exception that speaks to a user."""


class KelvinError(ValueError):
    """A mistake a user can put right: one sentence saying what is wrong, where, what would be right."""
