"""The agent's own page: how it is, on its own machine, in English and Chinese, with or without JavaScript."""
