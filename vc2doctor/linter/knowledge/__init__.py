"""Tables of facts about models and libraries."""
