"""vc2doctor: says whether an environment will fine-tune with a finite, falling loss; if not, why, and what fixes it."""

__version__ = "0.1.0"
