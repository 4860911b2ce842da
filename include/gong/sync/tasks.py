"""Functions that the tasks of ``gong_users_sync`` run."""

from include.gong.sync.checks import check_run
from include.gong.sync.deletions import (
    apply_deletions,
    deletion_candidates,
    load_present_users,
    verify_deletions,
)
from include.gong.sync.histories import claim, ids_of_batch, load_history_group, plan_histories
from include.gong.sync.listing import load_listing_checkpoint, load_users_page
from include.gong.sync.run import finish_run, open_run

__all__ = [
    "apply_deletions",
    "check_run",
    "claim",
    "deletion_candidates",
    "finish_run",
    "ids_of_batch",
    "load_history_group",
    "load_listing_checkpoint",
    "load_present_users",
    "load_users_page",
    "open_run",
    "plan_histories",
    "verify_deletions",
]
