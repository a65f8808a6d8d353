"""The leak test: canaries in every place where a number can hide, sent through an element, and looked for behind it."""
