"""Pages of results as single HTML files: sections of tables, pictures and words."""

from dpm_ppl.analysis.page.page import (
    PagePicture,
    PageSection,
    PageSettings,
    PageTerms,
    check_page,
    html_page,
    write_page,
)

__all__ = ["PagePicture", "PageSection", "PageSettings", "PageTerms", "check_page", "html_page", "write_page"]
