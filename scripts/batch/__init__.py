"""A cohort through a model: many inputs on a pool of workers, or on Ray, each written once."""
