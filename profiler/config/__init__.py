"""What a profile is to do: configurations, links, images, bundles."""
