"""Ray: judge the rows of a data set, or of files, on the actors of a cluster."""

from plaudit.integrations.ray.columns import RayJudge, judge_dataset

__all__ = ["RayJudge", "judge_dataset"]
