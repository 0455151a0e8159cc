"""Where verbs keep what they make if nobody says where."""

from pathlib import Path


def paper_folder() -> Path:
    """Traces and counts of the paper's experiments, in the user's cache."""
    import platformdirs

    return platformdirs.user_cache_path("discotrace") / "paper"


def pasts_folder() -> Path:
    """What is known of traces that samples are taken of, in the user's cache."""
    import platformdirs

    return platformdirs.user_cache_path("discotrace") / "traces"
