"""What each task of ``gong_users_sync`` does: all that its DAG calls."""

from include.gong.sync.checks import check_run
from include.gong.sync.deletions import (
    confirm_leavers,
    leavers_to_confirm,
    load_users_still_there,
    settle_leavers,
)
from include.gong.sync.histories import claim, ids_of_batch, load_history_group, plan_histories
from include.gong.sync.listing import listing_progress_so_far, load_users_page
from include.gong.sync.run import finish_run, open_run

__all__ = [
    "check_run",
    "claim",
    "confirm_leavers",
    "finish_run",
    "ids_of_batch",
    "leavers_to_confirm",
    "listing_progress_so_far",
    "load_history_group",
    "load_users_page",
    "load_users_still_there",
    "open_run",
    "plan_histories",
    "settle_leavers",
]
