"""Divides the instruments among several aggregators, and publishes their signs of life."""
