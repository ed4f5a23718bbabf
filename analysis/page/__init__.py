"""Results as one HTML page: `write_page` takes sections of words, tables and pictures."""

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
