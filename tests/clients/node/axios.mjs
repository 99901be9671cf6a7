// Posts with axios: node axios.mjs URL BODY CONFIG, where BODY and CONFIG are JSON, as in axios.post(url, body, config).
// Prints {status, data} of the answer, also of one that axios throws as an error.
import axios from "axios";

const [url, body, config] = process.argv.slice(2);
const answer = await axios.post(url, JSON.parse(body), JSON.parse(config)).catch((error) => error.response);
console.log(JSON.stringify({ status: answer.status, data: answer.data }));
