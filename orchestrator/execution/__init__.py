"""Running chains of stages: in this process (``local``) or on Ray (``ray_*``). A stage cannot tell the difference."""
