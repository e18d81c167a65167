"""A preload for the pool's workers: registers the tests' checks there."""

from engine_checks import register

register()
