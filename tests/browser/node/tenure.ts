// How a page's own program may use window.tenure; what is marked must not compile.
tenure.init({ key: "pub_1", baseUrl: "https://tenure.example" });
window.tenure.track("Report Exported", { format: "pdf", rows: 12 });
tenure.identify("user_1", { plan: "pro" }, { authHash: "00", customerId: "cus_1", email: "jane@example.com" });
tenure.identify(42);
tenure.page();
tenure.page("Settings", { tab: "billing" });
tenure.reset();
const waiting: Promise<number> = tenure.flush();
waiting.then((count) => count + tenure.dropped);
tenure.optOut();
tenure.optIn();

// @ts-expect-error a name is text
tenure.track(1);
// @ts-expect-error properties are an object
tenure.track("Report Exported", "pdf");
// @ts-expect-error a user has an id
tenure.identify(undefined);
// @ts-expect-error a key is needed
tenure.init({ baseUrl: "https://tenure.example" });
// @ts-expect-error the count is the script's
tenure.dropped = 0;
