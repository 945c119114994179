from flask_cors import CORS

handler = CORS
