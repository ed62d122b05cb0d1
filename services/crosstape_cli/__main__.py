"""`python -m crosstape_cli`."""

from crosstape_cli.main import main

raise SystemExit(main())
