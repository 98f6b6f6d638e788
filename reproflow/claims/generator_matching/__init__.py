"""BIL-1 to BIL-13: generator matching with Bregman divergences that depend on time and state (after 000)."""
