"""KuCoin, spot and futures."""
