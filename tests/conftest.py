"""What holds for all tests: git is out of sight, and of several processes one has all tests on a Ray cluster.

They say the same whether or not the checkout that they run in has uncommitted files.
"""

import os

import pytest

os.environ["GIT_DIR"] = os.devnull


def _starts_cluster(nodeid):
    return nodeid.partition("::")[0].rpartition("/")[2].startswith("test_ray_")


def pytest_collection_modifyitems(config, items):
    """Those on a cluster first: they are the longest, and most of their time is waiting."""
    items.sort(key=lambda item: not _starts_cluster(item.nodeid))
    unmarked = [item.nodeid for item in items if _starts_cluster(item.nodeid) != bool(item.get_closest_marker("ray"))]
    if unmarked:
        raise pytest.UsageError(f"tests on a cluster belong in files test_ray_*.py, and are marked so: {unmarked[:3]}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """As ``--dist loadfile``, but two processes never start a cluster with all CPUs each and wait for each other's work."""
    from xdist.scheduler import LoadScopeScheduling

    class OneCluster(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return "ray" if _starts_cluster(nodeid) else nodeid.partition("::")[0]

    config.option.loadscopereorder = False
    return OneCluster(config, log)
