"""Where documents come from and how they are kept up to date: folders, sites, repositories."""
